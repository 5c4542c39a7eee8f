-- zap_plain_file: PLAIN clients of stock ZeroMQ servers, by a file of users and hashes.
--
-- Each line of the file is name:hash, with hashes of crypt(3): yescrypt, bcrypt, SHA-512 or SHA-256.  It is read again
-- when it has changed.
--
--   $ printf 'alice:%s\n' "$(openssl passwd -6)" >> users
--   $ htpasswd -B users bob
--
-- A verification costs as much as the hash says; only its own client waits for it.  PLAIN sends passwords in clear:
-- keep such servers on loopback, on ipc sockets, or within a tunnel.
--
-- FILE: relative to this policy.
-- DOMAINS: the ZAP domains that it answers for (ZMQ_ZAP_DOMAIN of the server); nil: all.

local FILE = "users"
local DOMAINS = nil

local durward = require("durward")
local zap = require("durward.zap")
local match, rule = durward.match, durward.rule

local users = zap.users(FILE)
local in_domain = DOMAINS and match.domain(DOMAINS) or function()
  return true
end

---@type durward.Policy
return {
  map = function(event)
    if event.mechanism ~= "PLAIN" then
      return nil, "not PLAIN"
    end
    local name = event.plain.username
    if not event.plain.password then
      return nil, "no password"
    end
    local good, why = users:verify(name, event.plain.password)
    if good then
      return name
    end
    return nil, why
  end,

  authorize = rule.first {
    rule.allow("users of the file", in_domain),
  },
}
