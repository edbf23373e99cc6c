std = "luajit"
max_line_length = 100
exclude_files = { "**/node_modules" }
files["spec"] = { std = "+busted" }
files[".busted"] = {}
