-- Native form of the policy api-key-auth: writes "<api id>:<SHA-256 of the key>" into a private header, which the
-- look-up filter behind it matches. Runs for every request of a protected route.
local credential_header = "x-gatewright-credential"

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(credential_header, "-")
  local context = handle:filterContext()
  local name = context:get("header")
  local value = headers:getAtIndex(name, 0)
  if value == nil then return end
  local prefix = context:get("prefix")
  if prefix then
    if lower(sub(value, 1, #prefix)) ~= prefix then return end
    value = sub(value, #prefix + 1)
  end
  value = trimmed(value)
  if value == nil or #value > 512 then return end
  headers:replace(credential_header, context:get("api") .. ":" .. sha256(value))
  headers:remove(name)
end
