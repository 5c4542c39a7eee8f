-- roster: who is in a table passes, under the user and to the backend that the table names.
--
-- The table is a file with a header line and columns between tabs.  It is read again when it has changed; one that
-- has become wrong leaves the old one in use and is told in the log:
--
--   principal             user     state       backend
--   alice@HOME.EXAMPLE    alice    active
--   bob@HOME.EXAMPLE      bob      suspended
--
-- An empty backend is the listener's.  What a row holds stands in the journal: it is no place for secrets.
--
-- ROSTER: the file, relative to this one's folder; "*.jsonl" has one JSON object a line instead.
--
--   $ durward explain -p policies/roster.lua --principal alice@HOME.EXAMPLE
--   allow alice
--     reason     in the roster

local ROSTER = "roster.tsv"

local durward = require("durward")
local roster = durward.roster("roster", ROSTER, { key = "principal" })

---@param event durward.Event
---@return table?
local function row_of(event)
  return event.principal and roster:get(event.principal.name)
end

---@type durward.Policy
return {
  map = function(event)
    local row = row_of(event)
    if not row then
      return nil, "not in the roster"
    end
    return row.user, "the roster names no user"
  end,

  authorize = function(event)
    local row = row_of(event)
    if row.state ~= "active" then
      return durward.deny { reason = "the roster says " .. (row.state or "nothing of the state") }
    end
    return durward.allow { backend = row.backend, reason = "in the roster" }
  end,
}
