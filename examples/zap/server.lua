#!/usr/bin/luajit
--- A stock libzmq server with PLAIN whose clients durward lets in, or not: prints each message with its sender.
--
--   luajit server.lua tcp://127.0.0.1:5580 ipc:///run/durward/zap [DOMAIN]
--
-- The first line it prints is the endpoint it is bound to.

local ffi = require("ffi")
local forwarder = require("forwarder")
local zmq = forwarder.zmq

local PULL, LAST_ENDPOINT, PLAIN_SERVER, ZAP_DOMAIN, HANDSHAKE_IVL = 7, 32, 44, 55, 66

local function number(value)
  return ffi.new("int[1]", value), ffi.sizeof("int")
end

local endpoint, handler, domain = ...
if not handler then
  io.stderr:write("usage: luajit server.lua ENDPOINT HANDLER [DOMAIN]\n")
  os.exit(2)
end
domain = domain or "global"

local context = zmq.zmq_ctx_new()
local forward = forwarder.open(context, handler)
local server = zmq.zmq_socket(context, PULL)
zmq.zmq_setsockopt(server, PLAIN_SERVER, number(1))
zmq.zmq_setsockopt(server, ZAP_DOMAIN, domain, #domain)
zmq.zmq_setsockopt(server, HANDSHAKE_IVL, number(5000))
if zmq.zmq_bind(server, endpoint) < 0 then
  io.stderr:write("server.lua: ", endpoint, ": ", ffi.string(zmq.zmq_strerror(zmq.zmq_errno())), "\n")
  os.exit(1)
end
local bound, size = ffi.new("char[256]"), ffi.new("size_t[1]", 256)
zmq.zmq_getsockopt(server, LAST_ENDPOINT, bound, size)
io.stdout:setvbuf("line")
print(ffi.string(bound))

local message = ffi.new("zmq_msg_t")
zmq.zmq_msg_init(message)
while forward:wait(server) do
  while zmq.zmq_msg_recv(message, server, 1) >= 0 do
    local user = zmq.zmq_msg_gets(message, "User-Id")
    print((user ~= nil and ffi.string(user) or "?") .. " "
      .. ffi.string(zmq.zmq_msg_data(message), zmq.zmq_msg_size(message)))
  end
end
