-- second_factor: only people whose ticket was got with more than a password.
--
-- FACTORS: the authentication indicators that count (RFC 8129), as the KDC names them: `indicators` of its OTP token
-- types, `pkinit_indicator`, `encrypted_challenge_indicator`, `spake_preauth_indicator`.  An indicator is the word of
-- the KDC that issued the ticket, so only our own realm's people pass here.
--
--   $ durward explain -p policies/second_factor.lua --principal alice@HOME.EXAMPLE --indicator otp
--   allow alice

local REALM = "HOME.EXAMPLE"
local FACTORS = { "otp", "pkinit" }

local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

---@type durward.Policy
return {
  map = map.strip_realm(REALM),

  authorize = rule.first {
    rule.deny("a second factor is needed", match.none(match.indicator(FACTORS))),
    rule.allow("people with a second factor"),
  },
}
