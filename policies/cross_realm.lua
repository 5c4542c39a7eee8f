-- cross_realm: people of realms that are listed here pass, and nobody can take another's name.
--
-- HOME: our own realm.  Its people keep their names: alice@HOME.EXAMPLE is alice.
-- PARTNERS: realms that we trust.  Their people are users of their own: bob@PARTNER.EXAMPLE is
-- bob.PARTNER.EXAMPLE, whoever our own bob may be.  A realm belongs here only when its administrators may decide
-- who each of these users is.
--
-- That the Kerberos libraries trust a realm (krbtgt keys, capaths) is not enough to pass; it must be listed.
--
--   $ durward explain -p policies/cross_realm.lua --principal bob@PARTNER.EXAMPLE --cross-realm
--   allow bob.PARTNER.EXAMPLE
--     rule       people of partners

local HOME = "HOME.EXAMPLE"
local PARTNERS = { "PARTNER.EXAMPLE" }

local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

-- What makes one of ours look like one of theirs is kept apart by a '.' that no name of ours may hold.
local function without_dot(inner)
  return function(event)
    local user, why = inner(event)
    if user and user:find(".", 1, true) then
      return nil, "a name of our own realm may not hold a '.'"
    end
    return user, why
  end
end

---@type durward.Policy
return {
  map = map.chain {
    without_dot(map.strip_realm(HOME)),
    map.name("%1.%0", PARTNERS),
  },

  authorize = rule.first {
    rule.allow("our own people", match.realm(HOME)),
    rule.allow("people of partners", match.realm(PARTNERS)),
  },
}
