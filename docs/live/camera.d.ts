// Of deploy/browser/camera.js, which the built folder holds beside these modules.
export function takePicture(dialog: HTMLDialogElement): Promise<File | null>;
