--- What a hook can wait for.  The hook sleeps meanwhile, the broker does not: other logins go on.
--
--     local names = durward.await.resolve("_kerberos.example.com", "TXT")   -- { "EXAMPLE.COM" }, or nil and why
--
-- A question has `limits.decision_seconds` for all of it; then it ends as temporary.  Within one question an answer
-- is asked for once.  Every look-up and its answer stand in the trace.

local door = require("durward.await.door")
local files = require("durward.files")

---@class durward.await
local await = {}

---@class durward.Srv
---@field target string
---@field port integer
---@field priority integer
---@field weight integer

--- Asks the DNS; the name is taken whole, no search list is tried.  A and AAAA give addresses, TXT texts, SRV
--- records by priority.  Nil and why when there is none.
---@type fun(name: string, record?: "A"|"AAAA"|"TXT"|"SRV"): (string[]|durward.Srv[])?, string?
await.resolve = door.resolve

--- Lets that much time pass.
---@type fun(seconds: number): true
await.sleep = door.sleep

--- The groups that the system (NSS: /etc/group, LDAP, ..) says the user is in.  Nil and why when it knows no such user;
--- an error, which ends the question as temporary, when it cannot tell.
---@type fun(user: string): string[]?, string?
await.groups = door.groups

--- The row of a roster that was declared with durward.roster; nil when the key is not in it.
---@type fun(name: string, key: string): table<string, any>?
await.lookup = files.lookup

return await
