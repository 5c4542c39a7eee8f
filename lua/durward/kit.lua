--- The test bench for policies: events from tables, decisions as tables.
--
--     local policy = require("durward.kit").load("policies/duty.lua")
--     local decision = policy:decide({ front = "zmtp", principal = "mary@HOME.EXAMPLE" })
--     assert.same({ "allow", "staff on duty" }, { decision.verdict, decision.rule })
--
-- A policy runs as in the broker: in a state of its own, with the same limits and the same last words in C.  What it
-- looks up is given as stubs; a look-up without one is an error that names it.  Nothing sleeps.

local core = require("durward.core")
local host = require("durward.kit.host")

local kit = {}

---@class durward.kit.Policy
---@field sha256 string
local Policy = {}
Policy.__index = Policy

local OPTIONS = { "refuse_users", "time", "dns", "groups", "group_files", "rosters", "roster" }

---@class durward.kit.Options
---@field refuse_users? string[]  as in the configuration; { "root" }
---@field time? number|string  the clock of events that name no time of their own
---@field dns? table<string, table<string, any[]>|string|false>  { ["a.example"] = { TXT = { "x" } } }; false: none
---@field groups? table<string, string[]|string|false>  the system's groups of each user; false: no such user
---@field group_files? table<string, table<string, string[]>>  by the path that the policy names; not read then
---@field rosters? table<string, table<string, table>>  rows by roster and key; the file is not read then
---@field roster? table<string, table>  rows of the roster that is called "roster"

local function misuse(format, ...)
  error(("kit.load: " .. format):format(...), 4)
end

local function entries(options, name)
  local found = options[name] or {}
  if type(found) ~= "table" then
    misuse("option '%s' is a %s, not a table", name, type(found))
  end
  return pairs(found)
end

-- The answers by what is asked for, as the trace names it.
local function stubs_of(options)
  local stubs = { answers = {}, failed = {}, tables = {} }
  local function set(key, value, missing)
    if type(value) == "table" then
      stubs.answers[key] = value
    elseif value == false or type(value) == "string" then
      stubs.failed[key] = value or missing
    else
      misuse("the stub for %s is a %s, not a table, a failure's text, or false", key, type(value))
    end
  end
  for name, records in entries(options, "dns") do
    for _, record in ipairs({ "A", "AAAA", "TXT", "SRV" }) do
      local value = records
      if type(records) == "table" then
        value = records[record] == nil and ("no %s record"):format(record) or records[record]
      end
      set(("%s %s"):format(record, name), value, "no such name")
    end
    for record in pairs(type(records) == "table" and records or {}) do
      if not ({ A = 1, AAAA = 1, TXT = 1, SRV = 1 })[record] then
        misuse("dns: '%s' has the record '%s'; there are A, AAAA, TXT and SRV", name, tostring(record))
      end
    end
  end
  for user, groups in entries(options, "groups") do
    set("groups " .. user, groups, ("the system knows no user '%s'"):format(user))
  end
  local function source(word, rows)
    stubs.tables[word] = true
    for key, row in pairs(rows) do
      set(word .. " " .. key, row)
    end
  end
  for path, users in entries(options, "group_files") do
    source("groups:" .. path, users)
  end
  for name, rows in entries(options, "rosters") do
    source("roster:" .. name, rows)
  end
  if options.roster then
    source("roster:roster", options.roster)
  end
  return stubs
end

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
    local known = false
    for _, option in ipairs(OPTIONS) do
      known = known or name == option
    end
    if not known then
      local nearest = core.nearest(tostring(name), OPTIONS)
      local hint = nearest and (", did you mean '%s'?"):format(nearest) or ""
      error(("kit.load: unknown option '%s'%s"):format(name, hint), 2)
    end
  end
  options = options or {}
  local opened, why = host.open(paths, options.refuse_users or { "root" }, stubs_of(options))
  if not opened then
    error(why, 2)
  end
  return setmetatable({ host = opened, sha256 = host.sha256(opened), time = options.time }, Policy)
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
  copy.time = copy.time or policy.time
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
