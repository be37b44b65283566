// Preprocesses an image file as training did: what Pillow does in alexnet/data/images.py, step by
// step and bit for bit. A canvas would resize differently.

const STEPS = {
  frame: "first",
  bit_depth: "8; 16-bit grey divided by 257, rounded",
  background: "white",
  orientation: "EXIF",
  region: "centre square",
  filter: "bicubic",
  antialias: true,
};
const MAX_PIXELS = 2 ** 27; // as in alexnet/data/images.py

/** Throw an error for a step that the manifest asks for and that is not what this page does. */
export function checkSteps(preprocessing) {
  for (const [step, here] of Object.entries(STEPS)) {
    const asked = preprocessing[step] ?? here; // the manifest of an older export has no steps
    if (asked !== here) {
      throw new Error(`The manifest asks for ${step}: ${asked}, and this page does ${here}`);
    }
  }
}

/**
 * @param {Blob} file an image in any format that the browser reads
 * @param {{resize: number, crop: number, channels: number}} preprocessing of manifest.json
 * @returns {Promise<Uint8Array>} crop x crop x channels
 */
export async function prepare(file, { resize, crop, channels }) {
  const whole = reduce(await decode(file), channels);
  return centreCrop(fit(whole, resize), crop);
}

/** RGBA pixels over white, rotated by the EXIF orientation, without colour conversion. */
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none", // WebP's pixels lose a bit otherwise
    });
  } catch {
    throw new Error(`${file.name ?? "This"} is not an image that this browser can read`);
  }
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) throw new RangeError();
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new Error(
      `${file.name ?? "This"} has ${width} x ${height} pixels, more than this browser can hold; ` +
      "make it smaller",
    );
  } finally {
    bitmap.close();
  }
}

/** RGBA to RGB, or to grey with the weights of ITU-R BT.601 in 16 bits. */
function reduce({ data, width, height }, channels) {
  const values = new Uint8Array(width * height * channels);
  let to = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue] = [data[i], data[i + 1], data[i + 2]];
    if (channels === 3) {
      values[to++] = red;
      values[to++] = green;
      values[to++] = blue;
    } else {
      values[to++] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
    }
  }
  return { values, width, height, channels };
}

/** The centre square, resized to `size` pixels; an image of that size stays as it is. */
function fit(image, size) {
  const { width, height } = image;
  if (width === size && height === size) return image;
  const side = Math.min(width, height);
  const across = filters(width, (width - side) / 2, side, size);
  const down = filters(height, (height - side) / 2, side, size);
  const resampleDown = (image) => transpose(resample(transpose(image), down));
  // Each pass rounds to 8 bits, so their order matters. This is Pillow's since version 13;
  // the older ones always begin across.
  const downFirst = height > size && height - size > 2 * (width - size);
  return downFirst ? resample(resampleDown(image), across) : resampleDown(resample(image, across));
}

const BITS = 22; // of a weight, after the point

/** For each of `size` output pixels: the first input pixel it depends on, and the weights. */
function filters(length, start, side, size) {
  const scale = side / size;
  const stretch = Math.max(scale, 1); // antialiasing: the kernel widens when the image shrinks
  return Array.from({ length: size }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + 2 * stretch + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      bicubic((first + k - centre + 0.5) * (1 / stretch)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const round = (weight) => Math.trunc(weight * 2 ** BITS + (weight < 0 ? -0.5 : 0.5));
    return { first, weights: weights.map((weight) => round(weight / sum)) };
  });
}

/** Keys, Cubic convolution interpolation (1981), equation 4, with a = -1/2. */
function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

/** Resample each row, rounding to 8 bits. */
function resample({ values, width, height, channels }, columns) {
  const result = new Uint8ClampedArray(columns.length * height * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of columns) {
      for (let c = 0; c < channels; c++) {
        let sum = 2 ** (BITS - 1);
        let from = (y * width + first) * channels + c;
        for (const weight of weights) {
          sum += weight * values[from];
          from += channels;
        }
        result[to++] = sum >> BITS;
      }
    }
  }
  return { values: result, width: columns.length, height, channels };
}

function transpose({ values, width, height, channels }) {
  const result = new Uint8Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        result[(x * height + y) * channels + c] = values[(y * width + x) * channels + c];
      }
    }
  }
  return { values: result, width: height, height: width, channels };
}

function centreCrop({ values, width, channels }, crop) {
  const start = Math.floor((width - crop) / 2);
  const result = new Uint8Array(crop * crop * channels);
  for (let y = 0; y < crop; y++) {
    const from = ((start + y) * width + start) * channels;
    result.set(values.subarray(from, from + crop * channels), y * crop * channels);
  }
  return result;
}
