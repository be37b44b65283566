// Preprocesses an image file as training did: what Pillow does in alexnet/data/images.py, step by
// step and bit for bit. A canvas would resize differently.

const STEPS = {
  frame: "first",
  bit_depth: "8; 16-bit grey divided by 257, rounded",
  background: "white",
  orientation: "EXIF",
  antialias: true,
};
// Of each filter: the region that goes with it, as the manifest states it, its part of a side of
// the image, and the kernel with its support in pixels.
const FILTERS = {
  bicubic: { region: "centre square", span: centreSpan, kernel: bicubic, support: 2 },
  bilinear: {
    region:
      "centre square of the image resized to a short side of `resize` pixels, the long side " +
      "rounded down; the square's offset rounded half to even",
    span: resizedSpan,
    kernel: bilinear,
    support: 1,
  },
};
const MAX_PIXELS = 2 ** 27; // as in alexnet/data/images.py

/** Throw an error for a step that the manifest asks for and that is not what this page does. */
export function checkSteps(preprocessing) {
  // The manifest of an older export has no steps.
  const { filter = "bicubic", region = FILTERS.bicubic.region } = preprocessing;
  const asked = { ...STEPS, ...preprocessing, filter, region };
  const known = FILTERS[filter] ? filter : Object.keys(FILTERS).join(" or ");
  const done = { ...STEPS, filter: known, region: FILTERS[filter]?.region };
  for (const [step, here] of Object.entries(done)) {
    if (asked[step] !== here) {
      throw new Error(`The manifest asks for ${step}: ${asked[step]}, and this page does ${here}`);
    }
  }
}

/**
 * @param {Blob} file an image in any format that the browser reads
 * @param {{resize: number, crop: number, channels: number, filter?: string}} preprocessing of
 *   manifest.json
 * @returns {Promise<Uint8Array>} crop x crop x channels
 */
export async function prepare(file, { resize, crop, channels, filter = "bicubic" }) {
  const whole = reduce(await decode(file), channels);
  return centreCrop(fit(whole, resize, filter), crop);
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

/** The filter's region, resized to `size` pixels; an image of that size stays as it is. */
export function fit(image, size, filter) {
  const { width, height } = image;
  if (width === size && height === size) return image;
  const { span, ...kernel } = FILTERS[filter];
  const short = Math.min(width, height);
  const across = filters(width, span(width, short, size), size, kernel);
  const down = filters(height, span(height, short, size), size, kernel);
  const resampleDown = (image) => transpose(resample(transpose(image), down));
  // Each pass rounds to 8 bits, so their order matters. This is Pillow's since version 13;
  // the older ones always begin across.
  const downFirst = height > size && height - size > 2 * (width - size);
  return downFirst ? resample(resampleDown(image), across) : resampleDown(resample(image, across));
}

/** From where to where, in pixels of a side of the image: its middle. */
function centreSpan(side, short) {
  return [(side - short) / 2, (side + short) / 2];
}

/** The same as torchvision's Resize and CenterCrop have it, in whole pixels once resized. */
function resizedSpan(side, short, size) {
  const resized = Math.floor((size * side) / short);
  const half = (resized - size) / 2;
  const start = half % 2 === 0.5 ? Math.floor(half) : Math.round(half); // halves to even
  return [start, start + size].map((edge) => (edge * side) / resized);
}

const BITS = 22; // of a weight, after the point

/** For each of `size` output pixels: the first input pixel it depends on, and the weights. */
function filters(length, span, size, { kernel, support }) {
  const [start, stop] = span.map(Math.fround); // Pillow takes floats of 32 bits
  const scale = Math.fround(stop - start) / size;
  const stretch = Math.max(scale, 1); // antialiasing: the kernel widens when the image shrinks
  return Array.from({ length: size }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + support * stretch + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      kernel((first + k - centre + 0.5) * (1 / stretch)),
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

function bilinear(x) {
  return Math.max(0, 1 - Math.abs(x));
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
