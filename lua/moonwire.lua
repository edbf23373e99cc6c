-- What require "moonwire" gives an app: the API (moonwire/app/api.lua) of the generation that
-- loads.
return require("moonwire.reload.generation").loading().api
