return {
  policy  = "policies/same_realm.lua",
  keytab  = "/etc/durward/durward.keytab",
  journal = "/var/log/durward/journal.jsonl",
  state_dir = "/var/lib/durward",
  workers = 2,
  log = { level = "info" },
  refuse_users = { "root" },
  limits  = { handshake_seconds = 10, connections = 50000, per_peer = 1000, frame_bytes = 64 * 2^20, memory = 2^30,
              decision_seconds = 5, drain_seconds = 30 },
  zmtp = {
    { name = "trades", listen = "tcp://*:5570", service = "zmq@broker.example.com",
      backend = "tcp://127.0.0.1:5571",
      on_deny = "close", retry_hold_seconds = 5,
      forward = { "X-App" },
      identity = "keep",
      protection = "encrypted" },
  },
  zmtp_out = {
    { name = "to-hq", listen = "ipc:///run/durward/hq", mode = "0600", connect = "tcp://hq.example.com:5570",
      service = "zmq@hq.example.com", ccache = "x/cc", keytab = "y.keytab", principal = "app@EXAMPLE.COM" },
  },
}
