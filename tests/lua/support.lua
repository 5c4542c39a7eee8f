--- Policies written on the spot, for specs.
local kit = require("durward.kit")

local support = {}

--- Loads the text as a policy; `durward`, `match`, `rule` and `map` are locals in it.
function support.policy(text, options)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("local durward = require('durward') ")
  file:write("local match, rule, map = durward.match, durward.rule, durward.map ", text)
  file:close()
  local ok, policy = pcall(kit.load, path, options)
  os.remove(path)
  if not ok then
    error((policy:gsub(path:gsub("%p", "%%%0"), "policy.lua"):gsub("^tests[^ ]* ", "")), 0)
  end
  return policy
end

--- What the matcher says of the event: true, or why not.
function support.matches(matcher, event)
  event.principal = event.principal or "alice@HOME.EXAMPLE"
  local decision = support.policy("return { map = function() return 'alice' end, authorize = rule.allow('it', "
    .. matcher .. ") }"):decide(event)
  if decision.verdict == "temporary" then
    error(decision.reason, 0)
  end
  if decision.verdict == "allow" then
    return true
  end
  return decision.trace[2].text:match("^rule \"it\" did not match: (.*)$") or decision.reason
end

--- What the map says: the user, or nil and why.
function support.maps(map, principal)
  local decision = support.policy("return { map = " .. map .. ", authorize = rule.allow('it') }")
    :decide({ principal = principal, mechanism = "GSSAPI" })
  return decision.user, decision.reason and decision.reason:gsub("^not mapped: ", "") or nil
end

return support
