--- Rosters: look-up tables from files.
--
--     local staff = durward.roster("staff", "staff.tsv")          -- while the policy is loaded
--     local row = staff:get(event.user)                           -- { user = "alice", shift = "now" }, or nil
--     local same = durward.await.lookup("staff", event.user)
--
-- A file named *.jsonl has one JSON object a line, whose field "key" (or the one that `options.key` names) is the
-- key; every other is columns between tabs under a header line, of which the first is the key.  The file is read again
-- when it has changed; one that has become wrong leaves the old table in use.  What was looked up stands in the
-- journal: a roster is no place for secrets.

local files = require("durward.files")
local core = require("durward.core")

---@class durward.Roster
---@field get fun(self: durward.Roster, key: string): table<string, any>?

---@param name string
---@param path string  relative to the policy's folder
---@param options? { key?: string }
---@return durward.Roster
return function(name, path, options)
  if type(name) ~= "string" or type(path) ~= "string" then
    core.misuse("roster: expected a name and a file, as in durward.roster(\"staff\", \"staff.tsv\")")
  end
  for option in pairs(options or {}) do
    if option ~= "key" then
      core.misuse(("roster: unknown option '%s'; there is 'key'"):format(tostring(option)))
    end
  end
  return (files.roster(name, path, options and options.key))
end
