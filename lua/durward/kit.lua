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

--- A case of a table: an event and what is expected of its decision.
---@class durward.kit.Case
---@field name string  its own, or "file:line"
---@field at string  "file:line"
---@field event table
---@field expect table  fields of the decision; what it does not name may be anything, false: it is not there

local CASE = { "name", "event", "expect" }
local JOURNAL = { "id", "time", "event", "decision", "policy", "trace", "took_us" }
local DECISION = {
  "verdict", "user", "rule", "reason", "backend", "identity", "jid", "expires", "properties", "sockets", "realm",
  "service", "keytab", "hostname", "policy",
}

local function check_fields(value, known, at, what)
  if type(value) ~= "table" then
    error(("%s: %s is %s, not an object"):format(at, what, type(value)), 4)
  end
  for name in pairs(value) do
    local found = false
    for _, one in ipairs(known) do
      found = found or one == name
    end
    if not found then
      local nearest = core.nearest(tostring(name), known)
      error(("%s: %s has an unknown field '%s'%s"):format(at, what, tostring(name),
        nearest and (", did you mean '%s'?"):format(nearest) or ""), 4)
    end
  end
end

local function case_of(line, at)
  local value, why = host.json(line)
  if value == nil then
    error(("%s: this is no JSON object: %s"):format(at, why or "it is null"), 3)
  end
  local is_journal = type(value) == "table" and value.decision ~= nil
  check_fields(value, is_journal and JOURNAL or CASE, at, "the case")
  local expect = value.expect
  if is_journal then -- a line of a journal: what was decided is expected again
    check_fields(value.decision, DECISION, at, "'decision'")
    expect = { verdict = value.decision.verdict, user = value.decision.user, backend = value.decision.backend }
  end
  local fields = {}
  for name in pairs(host.fields()) do
    fields[#fields + 1] = name
  end
  check_fields(value.event, fields, at, "'event'")
  check_fields(expect, DECISION, at, "'expect'")
  if next(expect) == nil then
    error(("%s: 'expect' is empty: any decision would do"):format(at), 3)
  end
  return { name = value.name or at, at = at, event = value.event, expect = expect }
end

--- Reads a table of cases, JSON lines: `{"name": "..", "event": {..}, "expect": {"verdict": "allow", "user": "a"}}`; a
--- line of a journal is a case too.  Raises at the caller's line what is wrong with one.
---
---     for _, case in ipairs(kit.cases("policies/duty.jsonl")) do
---       it(case.name, function() assert(policy:check(case)) end)
---     end
---@param path string
---@return durward.kit.Case[]
function kit.cases(path)
  local file, why = io.open(path)
  if not file then
    error("kit.cases: " .. why, 2)
  end
  local text = file:read("a")
  file:close()
  if not text then
    error("kit.cases: " .. path .. " cannot be read", 2)
  end
  local cases, number = {}, 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    if line:find("%S") then
      cases[#cases + 1] = case_of(line, ("%s:%d"):format(path, number))
    end
  end
  if #cases == 0 then
    error("kit.cases: " .. path .. " holds no case", 2)
  end
  return cases
end

local function show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) == "number" then
    return ("%.14g"):format(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local names, parts = {}, {}
  for name in pairs(value) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for i, name in ipairs(names) do
    parts[i] = (type(name) == "number" and "" or name .. " = ") .. show(value[name])
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- Whether the policy decides a case as it expects: true, or nil and what differs, with the trace.
---@param case durward.kit.Case
---@return boolean? as_expected
---@return string? why
function Policy:check(case)
  local decision, whys = ask(self, case.event), {}
  for _, name in ipairs(DECISION) do
    local wanted, got = case.expect[name], decision[name]
    if wanted == false then
      wanted = nil
    elseif wanted == nil then
      wanted = got
    end
    if show(wanted) ~= show(got) then
      whys[#whys + 1] = ("%s: %s is %s, expected %s"):format(case.at, name, show(got), show(wanted))
    end
  end
  if #whys == 0 then
    return true
  end
  return nil, table.concat(whys, "\n") .. "\n" .. kit.trace(decision)
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
