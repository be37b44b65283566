// Preprocesses an image file as training did: what Pillow does in alexnet/data/images.py,
// step by step. A canvas would resize differently.

/**
 * @param {Blob} file an image in any format that the browser reads
 * @param {{resize: number, crop: number, channels: number}} preprocessing of manifest.json
 * @returns {Promise<Uint8Array>} crop x crop x channels
 */
export async function prepare(file, { resize, crop, channels }) {
  const whole = reduce(overWhite(await decode(file)), channels);
  return centreCrop(fit(whole, resize), crop).values;
}

/** RGBA pixels, rotated by the EXIF orientation, without colour conversion. */
async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Blend RGBA with a white background, in place. */
function overWhite(image) {
  const { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] / 255;
    if (alpha === 1) continue;
    for (let c = 0; c < 3; c++) {
      data[i + c] = Math.round(alpha * data[i + c] + (1 - alpha) * 255);
    }
  }
  return image;
}

/** RGBA to RGB, or to grey with the weights of ITU-R BT.601. */
function reduce({ data, width, height }, channels) {
  const values = new Uint8Array(width * height * channels);
  let to = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (channels === 3) {
      values[to++] = data[i];
      values[to++] = data[i + 1];
      values[to++] = data[i + 2];
    } else {
      values[to++] = Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
    }
  }
  return { values, width, height, channels };
}

/** The centre square, resized to `size` pixels; an image of that size stays as it is. */
function fit(image, size) {
  if (image.width === size && image.height === size) return image;
  const side = Math.min(image.width, image.height);
  const across = filters(image.width, (image.width - side) / 2, side, size);
  const down = filters(image.height, (image.height - side) / 2, side, size);
  // Each pass rounds to 8 bits, so their order matters. Pillow 13 sometimes uses the other one.
  return transpose(resample(transpose(resample(image, across)), down));
}

/** For each of `size` output pixels: the first input pixel it depends on, and the weights. */
function filters(length, start, side, size) {
  const scale = side / size;
  const stretch = Math.max(scale, 1); // antialiasing: the kernel widens when the image shrinks
  return Array.from({ length: size }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + 2 * stretch + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      bicubic((first + k + 0.5 - centre) / stretch),
    );
    const sum = weights.reduce((total, weight) => total + weight);
    return { first, weights: weights.map((weight) => weight / sum) };
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
  const result = new Uint8ClampedArray(columns.length * height * channels); // rounds and clamps
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of columns) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        let from = (y * width + first) * channels + c;
        for (const weight of weights) {
          sum += weight * values[from];
          from += channels;
        }
        result[to++] = sum;
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
  return { values: result, width: crop, height: crop, channels };
}
