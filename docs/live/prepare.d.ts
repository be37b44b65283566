// Of deploy/browser/prepare.js, which the built folder holds beside these modules.
export function checkSteps(preprocessing: object): void;
export function prepare(file: Blob, preprocessing: object): Promise<Uint8Array>;
