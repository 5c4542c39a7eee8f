-- A gateway: ZeroMQ clients log in with Kerberos, the policy decides, the backend stays as it is.
-- Relative paths are relative to this file.  `durward check -c durward.lua` finds mistakes before they run.
---@type durward.Config
return {
  policy = "policy.lua",
  keytab = "lab/durward.keytab",        -- the service's keys; no other keytab is ever looked at
  journal = "journal.jsonl",            -- one line per decision: what was asked, what was answered, and why
  state_dir = "state",                  -- the replay cache and the control socket that `durward status` asks

  zmtp = {
    {
      name = "trades",
      listen = "tcp://127.0.0.1:5570",  -- where clients connect, with ZMQ_GSSAPI_SERVICE_PRINCIPAL "zmq@localhost"
      service = "zmq@localhost",        -- who we are; a ticket for any other service is refused
      backend = "tcp://127.0.0.1:5571", -- a stock libzmq socket without any security; keep it on loopback or ipc
      on_deny = "error",                -- a refused client is told so and stays away; "close" lets it try again
    },
  },
}
