// An exported artifact, downloaded file by file. The manifest holds the SHA-256 of every file, and
// SHA256SUMS that of the manifest: nothing is used before its digest is right.

const SCHEMAS = [2, 3];
const NEEDED = ["precisions", "preprocessing", "input", "files", "data", "metrics"];

/**
 * A file's bytes.
 * @param {URL} url
 * @param {(received: number, total: number) => void} onProgress; a total of 0 is not known
 * @param {number} bytes that the file has, where they are known
 */
export async function download(url, onProgress = () => {}, bytes = 0) {
  let response;
  const parts = [];
  let received = 0;
  try {
    // A browser may keep an old file beside a new manifest; it asks the server for each.
    response = await fetch(url, { cache: "no-cache" });
    const { headers } = response;
    // A compressed file's length is not that of what arrives here.
    const stated = headers.get("content-encoding") ? 0 : Number(headers.get("content-length"));
    const reader = response.body.getReader();
    for (let next = await reader.read(); !next.done && response.ok; next = await reader.read()) {
      parts.push(next.value);
      received += next.value.length;
      onProgress(received, bytes || stated);
      if (bytes && received > bytes) break;
    }
  } catch {
    throw new Error(`${url.pathname} did not arrive; is the server reachable?`);
  }
  if (response.status === 404) throw new Error(`${url.pathname} was not found (404)`);
  if (!response.ok) throw new Error(`${url.pathname} was refused (${response.status})`);
  return new Blob(parts).arrayBuffer();
}

async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parse(content, name) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    throw new Error(`${name} is not JSON; is this the folder of an exported artifact?`);
  }
}

export class Artifact {
  /** @param {string} folder relative to the page */
  static async open(folder) {
    if (!globalThis.crypto?.subtle) {
      throw new Error("Browsers check digests on https and on localhost only; open this page there");
    }
    const base = new URL(folder.endsWith("/") ? folder : `${folder}/`, document.baseURI);
    const content = await download(new URL("manifest.json", base)).catch((error) => {
      throw new Error(`${error.message}; name the folder of an exported artifact by ?artifact=`);
    });
    const manifest = parse(content, "manifest.json");
    if (!SCHEMAS.includes(manifest?.schema)) {
      throw new Error(
        `manifest.json has schema ${manifest?.schema}, and this page reads ${SCHEMAS.join(" and ")}; ` +
        "take the page and the artifact from one version",
      );
    }
    const missing = NEEDED.filter((name) => Object(manifest[name]) !== manifest[name]);
    if (missing.length) throw new Error(`manifest.json is damaged: it has no ${missing.join(", ")}`);
    const digest = await sha256(content);
    const sums = new TextDecoder().decode(await download(new URL("SHA256SUMS", base)));
    if (!sums.split("\n").includes(`${digest}  manifest.json`)) {
      throw new Error("manifest.json and SHA256SUMS do not match: one of them was changed");
    }
    return new Artifact(base, manifest, digest);
  }

  constructor(base, manifest, digest) {
    Object.assign(this, { base, manifest, digest, verified: new Set() });
  }

  /** The bytes of a file that the manifest lists, once they are as long and have the digest that
   * it says. */
  async read(name, onProgress) {
    const { files } = this.manifest;
    const entry = Object.hasOwn(files, name) ? files[name] : undefined;
    if (!entry) throw new Error(`manifest.json does not list ${name}`);
    const content = await download(new URL(name, this.base), onProgress, entry.bytes);
    const advice = "reload the page, or get the artifact again";
    if (content.byteLength !== entry.bytes) {
      const [has, expected] = [content.byteLength, entry.bytes].map((n) => n.toLocaleString("en"));
      // Of a longer file only the beginning was read.
      const some = content.byteLength > entry.bytes ? "at least " : "";
      throw new Error(`${name} has ${some}${has} bytes, expected ${expected}; ${advice}`);
    }
    if ((await sha256(content)) !== entry.sha256) {
      throw new Error(`${name} has another SHA-256 than the manifest says; ${advice}`);
    }
    this.verified.add(name);
    return content;
  }

  async readJson(name) {
    return parse(await this.read(name), name);
  }
}
