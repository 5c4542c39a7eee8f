std = "lua54"
max_line_length = 120
exclude_files = { "build", "build-*" }
files["**/*_spec.lua"] = { std = "+busted" }
