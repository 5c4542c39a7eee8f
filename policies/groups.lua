-- groups: people of one realm pass when they are in a group, and are refused when they are in another.
--
-- Who is in which group says the system (NSS: /etc/group, LDAP, ..), which is asked while others go on logging in.
-- With GROUP_FILE, a file as /etc/group says it instead; it is read again when it has changed.
--
-- REALM: the realm whose people pass.  ADMITTED, BARRED: names of groups; barred wins.
-- GROUP_FILE: nil, or the path of a file, relative to this one's folder.
--
--   $ durward explain -p policies/groups.lua --principal root@HOME.EXAMPLE
--   deny
--     reason     no policy decided on user 'root'

local REALM = "HOME.EXAMPLE"
local ADMITTED = { "staff", "ops" }
local BARRED = { "suspended" }
local GROUP_FILE = nil

local durward = require("durward")
local match, rule = durward.match, durward.rule

---@param groups string[]
---@return durward.Matcher
local function member(groups)
  if GROUP_FILE then
    return durward.groups.file(GROUP_FILE):member(table.unpack(groups))
  end
  return match.group(table.unpack(groups))
end

---@type durward.Policy
return {
  map = durward.map.strip_realm(REALM),

  authorize = rule.first {
    rule.deny("barred", member(BARRED)),
    rule.allow("admitted by group", member(ADMITTED)),
  },
}
