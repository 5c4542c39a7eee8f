-- zap_curve_store: CURVE clients of stock ZeroMQ servers, by a folder of public certificates as czmq's zcert makes
-- them.
--
-- The folder is looked at again when a client comes: a certificate that is put there lets its owner in, one that is
-- taken away lets its owner in no more.  Files whose name ends in "_secret" are left out.
--
--   $ head -5 clients/alice.cert
--   metadata
--       user = "alice"
--       team = "ops"
--   curve
--       public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
--
-- Who it is stands in the certificate's metadata as `user`; without it, it is the file's name.  `team` goes to the
-- server as the property X-Team.
--
-- FOLDER: relative to this policy.

local FOLDER = "clients"

local durward = require("durward")
local zap = require("durward.zap")

local certificates = zap.certificates(FOLDER)

---@type durward.Policy
return {
  map = function(event)
    if event.mechanism ~= "CURVE" then
      return nil, "not CURVE"
    end
    local certificate, why = certificates:find(event.curve.key)
    if not certificate then
      return nil, why
    end
    return certificate.metadata.user or certificate.name
  end,

  authorize = function(event)
    local certificate = certificates:find(event.curve.key)
    local team = certificate and certificate.metadata.team
    return durward.allow({ reason = "has a certificate", properties = team and { ["X-Team"] = team } })
  end,
}
