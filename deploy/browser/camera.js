// Takes a picture with the device's camera.

const REASONS = {
  NotAllowedError: "The camera is not allowed here; allow it for this page in the browser",
  NotFoundError: "This device has no camera",
  NotReadableError: "The camera does not start; another program may use it",
};

/**
 * Show what the camera sees in `dialog` until its user takes a picture.
 * @param {HTMLDialogElement} dialog with a video and two buttons, one of the value "take"
 * @returns {Promise<File | null>} null if the dialog was closed without one
 */
export async function takePicture(dialog) {
  let stream;
  try {
    // The one on the back of a phone, where there are two.
    const video = { facingMode: { ideal: "environment" }, width: { ideal: 1280 } };
    stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The camera does not start (${error.name})`);
  }
  const video = dialog.querySelector("video");
  try {
    video.srcObject = stream;
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => {
      dialog.addEventListener("close", resolve, { once: true });
    });
    return dialog.returnValue === "take" ? await frameOf(video) : null;
  } finally {
    dialog.close();
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

/** The frame that a video shows, as a PNG file. */
async function frameOf(video) {
  if (!video.videoWidth) throw new Error("The camera gives no picture");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new File([await canvas.convertToBlob()], "The picture", { type: "image/png" });
}
