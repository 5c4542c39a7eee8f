local kit = require("durward.kit")

describe("roster", function()
  local policy = kit.load("policies/roster.lua", { roster = {
    ["alice@HOME.EXAMPLE"] = { user = "alice", state = "active", backend = "tcp://127.0.0.1:5572" },
    ["bob@HOME.EXAMPLE"] = { user = "bob", state = "suspended" },
    ["carol@HOME.EXAMPLE"] = { user = "carol" },
    ["dave@HOME.EXAMPLE"] = { state = "active" },
  } })

  local function outcome(principal)
    local decision = policy:decide({ front = "zmtp", principal = principal })
    return { decision.verdict, decision.user, decision.backend or decision.reason }
  end

  it("admits who is active, to the backend of the row", function()
    assert.same({ "allow", "alice", "tcp://127.0.0.1:5572" }, outcome("alice@HOME.EXAMPLE"))
  end)

  it("refuses who is not active", function()
    assert.same({ "deny", "bob", "the roster says suspended" }, outcome("bob@HOME.EXAMPLE"))
    assert.same({ "deny", "carol", "the roster says nothing of the state" }, outcome("carol@HOME.EXAMPLE"))
  end)

  it("refuses who is not in it, or has no user there", function()
    assert.same({ "deny", nil, "not mapped: not in the roster" }, outcome("alice@ELSEWHERE.EXAMPLE"))
    assert.same({ "deny", nil, "not mapped: the roster names no user" }, outcome("dave@HOME.EXAMPLE"))
  end)

  it("stands with the file beside it", function()
    local decision = kit.load("policies/roster.lua"):decide({ principal = "alice@HOME.EXAMPLE" })
    assert.same({ "allow", "alice" }, { decision.verdict, decision.user })
  end)
end)
