import { StringDecoder } from 'node:string_decoder';

/** What an editor on Windows puts before a file. */
const BYTE_ORDER_MARK = '\uFEFF';

/**
 * The lines of a file as it comes, so that no more of it is in memory than a line. Of one that is longer than it may be
 * comes `undefined` instead.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxLength: number,
): AsyncGenerator<string | undefined> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let isFirst = true;
  let isTooLong = false;
  for await (const chunk of chunks) {
    const pieces = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = pieces.pop() ?? '';
    for (const piece of pieces) {
      yield isTooLong || piece.length > maxLength ? undefined : whole(piece);
      isTooLong = false;
      isFirst = false;
    }
    if (rest.length <= maxLength) continue;
    isTooLong = true;
    rest = '';
  }
  rest += decoder.end();
  if (isTooLong) yield undefined;
  else if (rest !== '') yield whole(rest);

  function whole(line: string): string {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    return isFirst && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  }
}
