// Unpacks the blocks that components/report/payload/columns.py packed, each when it is first needed.

const ARRAYS = {
  int8: Int8Array, int16: Int16Array, int32: Int32Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array,
};

const unpacked = new Map();

/** Columns of the block `name` as a promise: typed arrays and lists by name. */
function block(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(document.getElementById(`block-${name}`)));
  return unpacked.get(name);
}

async function unpack(holder) {
  const zipped = Uint8Array.from(atob(holder.textContent), (character) => character.charCodeAt(0));
  holder.remove(); // the text is not needed again
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("deflate"));
  return columnsOf(await new Response(stream).arrayBuffer());
}

function columnsOf(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = Math.ceil((4 + length) / 8) * 8;
  const columns = header.lists;
  for (const [name, type, at, size] of header.numbers) columns[name] = new ARRAYS[type](buffer, start + at, size);
  return columns;
}

/** Where each row's part of a ragged column begins; the last entry is the end. */
function offsets(lengths) {
  const places = new Uint32Array(lengths.length + 1);
  lengths.forEach((length, row) => { places[row + 1] = places[row] + length; });
  return places;
}
