/** The text in the bytes of a file, by the rules of `sentiment predict`: tests/unit/files/cases.json. */

const GZIP = [0x1f, 0x8b];
const UNPACK = "Unpack it, and give the file that is in it.";
const SHEET = "Save the sheet as CSV (UTF-8), or unpack the archive.";
const OTHER_FILES = [
  [[0x50, 0x4b, 3, 4], `is a zip archive or an .xlsx workbook, which is not read. ${SHEET}`],
  [[0xd0, 0xcf, 0x11, 0xe0], `is an .xls workbook, which is not read. ${SHEET}`],
  [[0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59], `is a bzip2 file, which is not read. ${UNPACK}`],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], `is an xz file, which is not read. ${UNPACK}`],
  [[0x28, 0xb5, 0x2f, 0xfd], `is a zstd file, which is not read. ${UNPACK}`],
  [[0x50, 0x41, 0x52, 0x31], "is Parquet, which the page does not read; `sentiment predict` does."],
  [[0xff, 0xfe, 0, 0], "is UTF-32, which is not read. Convert it to UTF-8."],
  [[0, 0, 0xfe, 0xff], "is UTF-32, which is not read. Convert it to UTF-8."],
];
const NEWLINE = 10;

/** A file cannot be taken; the message says why. */
export class FileRefused extends Error {}

/**
 * Return the text of a file in UTF-8 or UTF-16, as it is or in gzip.
 * @throws {FileRefused} It is not such a file, or has more than `maxBytes` when it is unpacked.
 */
export async function decoded(packed, maxBytes) {
  const bytes = starts(packed, GZIP) ? await unpacked(packed, maxBytes) : packed;
  for (const [magic, refusal] of OTHER_FILES) {
    if (starts(bytes, magic)) throw new FileRefused(`The input ${refusal}`);
  }
  const encoding = encodingOf(bytes);
  if (encoding === "utf-8" && bytes.includes(0)) {
    const line = lineOf(bytes, bytes.indexOf(0));
    throw new FileRefused(`The input is not text: line ${line} has a NUL byte.`);
  }
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    if (bytes.length % 2 === 1 && encoding !== "utf-8") {
      throw new FileRefused("The input ends within a character.");
    }
    if (encoding !== "utf-8") throw new FileRefused("The input is not UTF-16.");
    const at = firstInvalid(bytes);
    const byte = bytes[at].toString(16).toUpperCase().padStart(2, "0");
    throw new FileRefused(
      `The input is not UTF-8: line ${lineOf(bytes, at)} has the byte 0x${byte}. ` +
        "Is it Latin-1? Save it as UTF-8.",
    );
  }
}

function starts(bytes, magic) {
  return magic.every((byte, index) => bytes[index] === byte);
}

function encodingOf([first, second]) {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  // Without a mark, an ASCII character at the start tells the order of the bytes.
  if (first === 0 && isAscii(second)) return "utf-16be";
  if (isAscii(first) && second === 0) return "utf-16le";
  return "utf-8";
}

function isAscii(byte) {
  return byte >= 0x09 && byte < 0x7f;
}

async function unpacked(packed, maxBytes) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const pieces = [];
  let size = 0;
  try {
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > maxBytes) {
        await reader.cancel();
        break;
      }
      pieces.push(value);
    }
  } catch (error) {
    throw new FileRefused(`The input is a broken gzip file: ${error.message}.`);
  }
  if (size > maxBytes) throw new FileRefused("The input is too large when it is unpacked.");
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function lineOf(bytes, at) {
  let line = 1;
  for (let index = 0; index < at; index += 1) line += bytes[index] === NEWLINE ? 1 : 0;
  return line;
}

/** Return where bytes stop to be UTF-8, by halving: a decoder does not tell. */
function firstInvalid(bytes) {
  let valid = 0;
  let invalid = bytes.length;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      valid = middle;
    } catch {
      invalid = middle;
    }
  }
  // A sequence that breaks off is wrong from its first byte on.
  for (let back = 1; back < 4; back += 1) {
    const byte = bytes[valid - back];
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    if (byte >= 0xc0) return back < length ? valid - back : valid;
  }
  return valid;
}
