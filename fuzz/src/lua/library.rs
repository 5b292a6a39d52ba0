// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which functions the kernel's libraries have.

use anyhow::{Context, Result};
use lunatik::{Session, Value};

/// Names the functions of `_G`, of its tables and of what `require` finds.
const LIST: &str = "
local names, seen = {}, {}
local function add(prefix, t)
  if seen[t] then return end
  seen[t] = true
  for key, value in pairs(t) do
    if type(key) == 'string' then
      if type(value) == 'function' then names[#names + 1] = prefix .. key end
      if type(value) == 'table' and prefix == '' then add(key .. '.', value) end
    end
  end
end
seen[package] = true
add('', _G)
for _, name in ipairs{'lunatik', 'linux', 'data', 'packet', 'netfilter'} do
  local found, module = pcall(require, name)
  if name == 'packet' and found then
    for part in ('eth arp ip ipv4 ipv6 tcp udp icmp icmp6 dns dnsname sni'):gmatch '%S+' do local _ = module[part] end
  end
  if found and type(module) == 'table' then add(name .. '.', module) end
end
-- What is behind a metatable that scripts cannot get at
for _, name in ipairs{'u8', 'u16', 'u32', 'u64', 'u16le', 'u32le', 'u64le'} do
  names[#names + 1] = 'data.new(1).' .. name
  names[#names + 1] = 'data.new(1).set' .. name
end
names[#names + 1] = 'data.new(1).string'
names[#names + 1] = 'data.new(1).setstring'
table.sort(names)
return names";

/// The functions, such as `string.rep`, in order. Those of modules that scripts
/// must require have the module's name before them.
pub(super) fn functions(session: &Session) -> Result<Vec<String>> {
    let name = format!("library-{}", std::process::id());
    let state = session.new_state(&name).ephemeral(true).create()?;
    let results = state.do_string(LIST).context("the list of functions")?;
    state.close()?;
    let names = results.first().and_then(Value::as_array);
    let names = names.context("the list of functions is none")?;
    Ok(names
        .into_iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}
