-- cross_realm: people of listed realms pass, by the ways that are listed, and nobody can take another's name.
--
-- HOME: our own realm.  Its people keep their names: alice@HOME.EXAMPLE is alice.
-- CAPATHS: the realms that we trust and how they reach us, as [capaths] of krb5.conf has it: "." for a realm that
-- shares a key with ours, else the realms in between, nearest to theirs first.  Each realm in between can make itself
-- whoever it likes of those behind it, so it has to be listed as well.  Their people are users of their own:
-- bob@PARTNER.EXAMPLE is bob.PARTNER.EXAMPLE, whoever our own bob may be.
--
-- That the Kerberos libraries trust a realm (krbtgt keys, a shared domain) is not enough to pass; it must be listed.
--
--   $ durward explain -p policies/cross_realm.lua --principal bob@PARTNER.EXAMPLE --cross-realm
--   allow bob.PARTNER.EXAMPLE
--     rule       people of partners

local HOME = "HOME.EXAMPLE"
local CAPATHS = {
  ["PARTNER.EXAMPLE"] = ".",
  ["LAB.PARTNER.EXAMPLE"] = { "PARTNER.EXAMPLE" },
}

local durward = require("durward")
local realms = require("durward.realms")
local map, match, rule = durward.map, durward.match, durward.rule

-- The listed realms; that each way leads through listed ones alone is seen while the policy is loaded.
local partners = {}
for realm, between in pairs(CAPATHS) do
  local path = realms.path(realm, HOME, { [realm] = { [HOME] = between } })
  for i = 2, #path - 1 do
    assert(CAPATHS[path[i]], ("CAPATHS: %s comes through %s, which is not listed"):format(realm, path[i]))
  end
  partners[#partners + 1] = realm
end

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

-- alice.LAB of PARTNER.EXAMPLE is not alice of LAB.PARTNER.EXAMPLE.
local function unlike_others(inner)
  return function(event)
    local user, why = inner(event)
    for _, realm in ipairs(user and partners or {}) do
      if #realm > #event.principal.realm and user:sub(-#realm - 1) == "." .. realm then
        return nil, "the name would be that of somebody in " .. realm
      end
    end
    return user, why
  end
end

---@type durward.Policy
return {
  map = map.chain {
    without_dot(map.strip_realm(HOME)),
    unlike_others(map.name("%1.%0", partners)),
  },

  authorize = rule.first {
    rule.allow("our own people", match.realm(HOME)),
    rule.allow("people of partners", match.realm(partners)),
  },
}
