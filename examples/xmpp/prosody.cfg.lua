-- A private, stock Prosody; RUN and PROVIDER come from the environment.
-- luacheck: ignore
run_as_root = true -- only if it is root who tries this
daemonize = false
pidfile = ENV_RUN .. "/prosody.pid"
data_path = ENV_RUN .. "/prosody"
plugin_paths = { ENV_PROVIDER } -- lua/prosody of durward
modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "smacks" }
modules_disabled = { "s2s" }
interfaces = { "127.0.0.1" }
c2s_ports = { 5223 }
c2s_direct_tls_ports, s2s_ports, http_ports, https_ports = {}, {}, {}, {}
c2s_require_encryption = true
log = { { levels = { min = "info" }, to = "console" } }

VirtualHost "home.example"
  ssl = { certificate = ENV_RUN .. "/home.example.pem", key = ENV_RUN .. "/home.example.key" }
  authentication = "durward"                      -- takes durward's tokens, and leaves native users to ..
  durward_native = "internal_hashed"
  durward_secret_file = ENV_RUN .. "/durward.key"
