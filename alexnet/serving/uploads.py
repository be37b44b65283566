"""Image files in the body of a request: one as it is, or several as a form."""

from fastapi import HTTPException
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

Upload = tuple[str, bytes]  # the name of a file, and its content


def read_uploads(body: bytes, content_type: str, max_images: int) -> list[Upload]:
    """The files of a form (multipart/form-data), or the body itself. Raises HTTPException.

    All is kept in memory, where the body is already: nothing is written to disk.
    """
    if not content_type.lower().startswith("multipart/"):
        return [("image", body)]
    uploads: list[Upload] = []
    is_complete = False

    def on_file(file: File) -> None:
        if len(uploads) == max_images:
            raise HTTPException(400, f"the form has more than {max_images} images")
        name = (file.file_name or b"image").decode(errors="replace")
        file.file_object.seek(0)
        uploads.append((name, file.file_object.read()))

    def on_field(field: Field) -> None:
        name = (field.field_name or b"").decode(errors="replace")
        raise HTTPException(400, f"the form's field {name} is no file")

    def on_end() -> None:
        nonlocal is_complete
        is_complete = True

    try:
        headers = {"Content-Type": content_type.encode("latin-1")}
        parser = create_form_parser(
            headers, on_field, on_file, config={"MAX_MEMORY_FILE_SIZE": float("inf")}
        )
        parser.on_end = on_end
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise HTTPException(400, f"the form is damaged: {error}") from None
    if not is_complete:
        raise HTTPException(400, "the form's end is missing")
    if not uploads:
        raise HTTPException(400, "the form has no files")
    return uploads
