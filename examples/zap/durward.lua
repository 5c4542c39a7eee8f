-- Who may come in to stock ZeroMQ servers: their forwarders connect to zap.sock.
--
--   durward serve -c examples/zap/durward.lua
--   cd examples/zap
--   ./server.py tcp://127.0.0.1:5580 ipc://zap.sock plain trades
--   ./client.py tcp://127.0.0.1:5580 alice wonderland "hello"
--   ./client.py tcp://127.0.0.1:5580 bob builder "hello"            # kept out

---@type durward.Config
return {
  policy = "policy.lua",
  journal = "journal.jsonl",
  state_dir = "state",
  zap = {
    { name = "zap", listen = "ipc://zap.sock" },
  },
}
