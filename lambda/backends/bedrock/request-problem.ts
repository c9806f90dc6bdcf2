/** Something in the client's request that can't be translated: a 400 that names the parameter. */
export class RequestProblem extends Error {
  override readonly name = 'RequestProblem';
  readonly param: string;
  /** Another backend may well take it. */
  readonly elsewhere: boolean;

  constructor(param: string, message: string, options: { elsewhere?: boolean } = {}) {
    super(message);
    this.param = param;
    this.elsewhere = options.elsewhere ?? false;
  }
}
