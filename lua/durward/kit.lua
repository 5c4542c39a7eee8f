--- The test bench for policies: events from tables, decisions as tables.
--
--     local policy = require("durward.kit").load("policies/duty.lua")
--     local decision = policy:decide({ front = "zmtp", principal = "mary@HOME.EXAMPLE" })
--     assert.same({ "allow", "staff on duty" }, { decision.verdict, decision.rule })
--
-- A policy runs as in the broker: in a state of its own, with the same limits and the same last words in C.

local core = require("durward.core")
local host = require("durward.kit.host")

local kit = {}

---@class durward.kit.Policy
---@field sha256 string
local Policy = {}
Policy.__index = Policy

local OPTIONS = { "refuse_users" }

---@class durward.kit.Options
---@field refuse_users? string[]  as in the configuration; { "root" }

--- Loads a policy file, or a list of them; raises, at the caller's line, what is wrong with it.
---@param path string|string[]
---@param options? durward.kit.Options
---@return durward.kit.Policy
function kit.load(path, options)
  local paths = type(path) == "table" and path or { path }
  for _, each in ipairs(paths) do
    if type(each) ~= "string" then
      error("kit.load: expected the path of a policy, got " .. type(each), 2)
    end
  end
  for name in pairs(options or {}) do
    if name ~= "refuse_users" then
      local nearest = core.nearest(tostring(name), OPTIONS)
      local hint = nearest and (", did you mean '%s'?"):format(nearest) or ""
      error(("kit.load: unknown option '%s'%s"):format(name, hint), 2)
    end
  end
  local opened, why = host.open(paths, options and options.refuse_users or { "root" })
  if not opened then
    error(why, 2)
  end
  return setmetatable({ host = opened, sha256 = host.sha256(opened) }, Policy)
end

local function ask(policy, event, stage)
  if type(event) ~= "table" then
    error("expected an event, a table of fields, got " .. type(event), 3)
  end
  local copy = {}
  for name, value in pairs(event) do
    copy[name] = value
  end
  copy.stage = stage or copy.stage
  local decision, why = host.ask(policy.host, copy)
  if not decision then
    error(why, 3)
  end
  decision.trace = decision.trace or {}
  return decision
end

--- Who is it, and may they pass: `map`, then `authorize`, or the stage that the event names.
---@param event table  fields as in the manual; a principal may be a string
---@return durward.kit.Decision
function Policy:decide(event)
  return ask(self, event)
end

--- The `connect` hook alone; "allow" is to go on.
---@return durward.kit.Decision
function Policy:connect(event)
  return ask(self, event, "connect")
end

--- The `realm` hook alone: the decision's realm, service, keytab and hostname.
---@return durward.kit.Decision
function Policy:realm(event)
  return ask(self, event, "realm")
end

--- The `close` hook alone.
---@return durward.kit.Decision
function Policy:close(event)
  return ask(self, event, "close")
end

--- The trace as text, one step a line, for a failed assert to show.
---@param decision durward.kit.Decision
---@return string
function kit.trace(decision)
  local lines = {}
  for i, step in ipairs(decision.trace) do
    lines[i] = ("%s: %s%s"):format(step.hook, step.text, step.at and " (" .. step.at .. ")" or "")
  end
  return table.concat(lines, "\n")
end

return kit
