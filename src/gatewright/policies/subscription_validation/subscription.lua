-- Native form of the policy subscription-validation: writes "<api id>:<SHA-256 of the token>" into a private header,
-- which the look-up filter behind it matches; without a token, "<api id>:application" when api-key-auth has just let in
-- a key whose application has subscribed. Runs for every request of a protected route.
local subscription_header = "x-gatewright-subscription"
local refused = {[":status"] = "403", ["content-type"] = "application/json"}
local nothing_provided = '{"error":"forbidden","message":"Subscription required for this API: no subscription token or application identity provided"}'

-- What the look-up of api-key-auth says: nil for a key without application, else whether the application has subscribed.
local function application(handle)
  local found = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.rbac")
  local name = found and found["enforced_effective_policy_id"]
  if name == nil then return nil end
  local mark = find(name, "/", 1, true)
  if mark == nil then return nil end
  return sub(name, mark) == "/subscribed"
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(subscription_header, "-")
  local context = handle:filterContext()
  local name = context:get("header")
  local token = trimmed(headers:getAtIndex(name, 0))
  if token ~= nil then
    if #token > 2048 then return end
    headers:replace(subscription_header, context:get("api") .. ":" .. sha256(token))
    headers:remove(name)
    return
  end
  local subscribed = nil
  if context:get("keys") then subscribed = application(handle) end
  if subscribed then
    headers:replace(subscription_header, context:get("api") .. ":application")
  elseif subscribed == nil then
    handle:respond(refused, nothing_provided)
  end
end
