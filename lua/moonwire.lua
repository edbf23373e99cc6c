-- What require "moonwire" gives an app: the API (moonwire/api.lua) of the generation that loads.
return require("moonwire.generation").loading().api
