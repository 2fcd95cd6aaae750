-- Native form of the policy api-key-auth: writes "<api id>:<SHA-256 of the key>" into a private header, which the
-- look-up filter behind it matches. Runs for every request of a protected route.
local credential_header = "x-gatewright-credential"


-- The key that a request carries, or nil.
local function presented(value, prefix)
  if value == nil then return nil end
  if prefix then
    if lower(sub(value, 1, #prefix)) ~= prefix then return nil end
    value = sub(value, #prefix + 1)
  end
  value = trimmed(value)
  if value == nil or #value > 512 then return nil end
  return value
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local context = handle:filterContext()
  local name = context:get("header")
  local value = presented(headers:getAtIndex(name, 0), context:get("prefix"))
  if value == nil then
    headers:replace(credential_header, "-")
    return
  end
  headers:replace(credential_header, context:get("api") .. ":" .. sha256(value))
  headers:remove(name)
end
