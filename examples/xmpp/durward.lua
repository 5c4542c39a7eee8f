-- Chat with Kerberos: clients log in here with their tickets, and are handed to a stock XMPP server that knows nothing
-- of Kerberos.  Relative paths are relative to this file.  `durward check -c durward.lua` finds mistakes first.
---@type durward.Config
return {
  policy = "policy.lua",
  keytab = "lab/durward.keytab",          -- xmpp/cm1.home.example/home.example and the names that older clients ask for
  journal = "journal.jsonl",
  state_dir = "state",

  xmpp = {
    {
      name = "chat",
      listen = "tcp://127.0.0.1:5222",
      domain = "home.example",            -- what stands behind the @
      hostname = "cm1.home.example",      -- who we are for it: told to clients as XEP-0233's <hostname/>
      hosts = { "localhost" },            -- what else clients may have connected to, and so ask a ticket for
      tls = { certificate = "home.example.pem", key = "home.example.key" },
      backend = {
        connect = "tcp://127.0.0.1:5223", -- the stock server's client port, STARTTLS verified against the domain
        ca_file = "ca.pem",
        login = "token",                  -- Prosody with our provider; "jwt" for ejabberd, "external" for both
        secret_file = "durward.key",      -- what both share; a good one for "jwt" too
      },
    },
  },
}
