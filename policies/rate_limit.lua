-- rate_limit: how often one address may connect and one principal may log in.  Decides nothing else, so it stands
-- before the policy that does:
--
--     policy = { "policies/rate_limit.lua", "policies/same_realm.lua" }
--
-- Counted for the whole broker, however many workers it has, and over a reload.  An address is asked before any
-- cryptography, so a flood costs little; IPv6 is counted by networks of 64 bits.  Who comes too often is put off
-- (temporary), not refused: a stock client tries again.
--
--   $ durward explain -p policies/rate_limit.lua --stage connect --peer 192.0.2.7
--   goes on

local durward = require("durward")
local limit, match, rule = durward.limit, durward.match, durward.rule

local BY_ADDRESS = { name = "connections of an address", count = 60, per = 60, burst = 20, key = "peer" }
local BY_PRINCIPAL = { name = "logins of a principal", count = 30, per = 60, burst = 10, key = "principal" }

---@type durward.Policy
return {
  connect = rule.first {
    rule.temporary("too many connections from one address", match.none(limit.bucket(BY_ADDRESS))),
  },

  authorize = rule.first {
    rule.temporary("too many logins of one principal", match.none(limit.bucket(BY_PRINCIPAL))),
  },
}
