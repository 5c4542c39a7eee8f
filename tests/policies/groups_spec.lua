local kit = require("durward.kit")

describe("groups", function()
  local policy = kit.load("policies/groups.lua", {
    groups = { alice = { "users", "staff" }, bob = { "staff", "suspended" }, carol = { "users" }, ghost = false },
  })

  local function outcome(principal)
    local decision = policy:decide({ front = "zmtp", principal = principal })
    return { decision.verdict, decision.rule }
  end

  it("admits by group", function()
    assert.same({ "allow", "admitted by group" }, outcome("alice@HOME.EXAMPLE"))
    assert.same({ "deny" }, outcome("carol@HOME.EXAMPLE"))
  end)

  it("bars by group, whatever else they are in", function()
    assert.same({ "deny", "barred" }, outcome("bob@HOME.EXAMPLE"))
  end)

  it("refuses who is no user of the system, and other realms", function()
    assert.same({ "deny" }, outcome("ghost@HOME.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice@ELSEWHERE.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice/admin@HOME.EXAMPLE"))
  end)
end)
