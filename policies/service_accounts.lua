-- service_accounts: programs that log in with a key of their own host, each as the user of its service, and only
-- from the hosts that it runs on: collector/web3.dc1.example.com@HOME.EXAMPLE is svc-collector.
--
-- ACCOUNTS: whose ticket counts for which user.  A '*' stays within the host's name; whoever has the key of a host
-- outside of the pattern, or of another service, is nobody here.  People have no place in this policy.
--
--   $ durward explain -p policies/service_accounts.lua --principal collector/web3.dc1.example.com@HOME.EXAMPLE
--   allow svc-collector

local ACCOUNTS = {
  { principal = "collector/*.dc1.example.com@HOME.EXAMPLE", user = "svc-collector" },
  { principal = "backup/backup?.example.com@HOME.EXAMPLE", user = "svc-backup" },
}

local durward = require("durward")
local match, rule = durward.match, durward.rule

local accounts = {}
for i, account in ipairs(ACCOUNTS) do
  accounts[i] = { is = match.principal(account.principal), user = account.user }
end

local function account_of(event)
  for _, account in ipairs(accounts) do
    if account.is(event) then
      return account.user
    end
  end
  return nil, event.principal and event.principal.name .. " is no service account" or "no principal"
end

---@type durward.Policy
return {
  map = account_of,

  authorize = rule.first {
    rule.allow("service accounts", match.user("svc-*")),
  },
}
