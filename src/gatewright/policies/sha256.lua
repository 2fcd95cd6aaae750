-- SHA-256 after FIPS 180-4, and the trimming of header values; put in front of the scripts that use them.
local bit = require("bit")
local band, bor, bxor, rrot, rshift, lshift, tobit, tohex = bit.band, bit.bor, bit.bxor, bit.ror, bit.rshift, bit.lshift, bit.tobit, bit.tohex
local byte, char, find, rep, sub, lower = string.byte, string.char, string.find, string.rep, string.sub, string.lower
local K = {
0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,
0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,
0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,
0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,
0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2}
local W = {}
local function sha256(msg)
  local len = #msg
  local tail = (55 - len) % 64
  msg = msg .. "\128" .. rep("\0", tail) .. "\0\0\0\0" .. char(band(rshift(len*8,24),255), band(rshift(len*8,16),255), band(rshift(len*8,8),255), band(len*8,255))
  local h0,h1,h2,h3,h4,h5,h6,h7 = 0x6a09e667,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19
  for p = 1, #msg, 64 do
    for i = 0, 15 do
      local a,b,c,d = byte(msg, p+i*4, p+i*4+3)
      W[i] = bor(lshift(a,24), lshift(b,16), lshift(c,8), d)
    end
    for i = 16, 63 do
      local x, y = W[i-15], W[i-2]
      W[i] = tobit(W[i-16] + bxor(rrot(x,7), rrot(x,18), rshift(x,3)) + W[i-7] + bxor(rrot(y,17), rrot(y,19), rshift(y,10)))
    end
    local a,b,c,d,e,f,g,h = h0,h1,h2,h3,h4,h5,h6,h7
    for i = 0, 63 do
      local t1 = tobit(h + bxor(rrot(e,6), rrot(e,11), rrot(e,25)) + bxor(g, band(e, bxor(f,g))) + K[i+1] + W[i])
      local t2 = bxor(rrot(a,2), rrot(a,13), rrot(a,22)) + bor(band(a,b), band(c, bor(a,b)))
      h,g,f,e,d,c,b,a = g,f,e,tobit(d+t1),c,b,a,tobit(t1+t2)
    end
    h0,h1,h2,h3,h4,h5,h6,h7 = tobit(h0+a),tobit(h1+b),tobit(h2+c),tobit(h3+d),tobit(h4+e),tobit(h5+f),tobit(h6+g),tobit(h7+h)
  end
  return tohex(h0)..tohex(h1)..tohex(h2)..tohex(h3)..tohex(h4)..tohex(h5)..tohex(h6)..tohex(h7)
end

-- The value without white space around it, nil when nothing is left. In one pass: a pattern that trims at the end takes
-- quadratic time for a long value that a client has filled with blanks.
local function trimmed(value)
  if value == nil then return nil end
  local head, tail = byte(value, 1), byte(value, -1)
  if head and head > 32 and tail > 32 then return value end
  local first = find(value, "%S")
  if first == nil then return nil end
  local last = #value
  while find(sub(value, last, last), "%s") do last = last - 1 end
  return sub(value, first, last)
end
