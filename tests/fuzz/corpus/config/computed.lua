local trades = { name = "trades", listen = "tcp://*:5570", service = "zmq@h" }
trades.backend = "ipc://app"
local all = { trades }
all[#all + 1] = { name = "b", listen = "tcp://*:0", service = "zmq/h@R", backend = "ipc://@b", forward = { "X-A" } }
local config <const> = { keytab = "k", zmtp = all, [ [==[journal]==] ] = 'j' }
table.insert(config.zmtp, { nme = "c" }) -- a mistake
config.limits = { memory = 2 ^ 30, frame_bytes = 64 << 20 }
return config
