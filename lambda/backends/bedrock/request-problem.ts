/** Something in the client's request that can't be translated: a 400 that names the parameter. */
export class RequestProblem extends Error {
  override readonly name = 'RequestProblem';
  readonly param: string;

  constructor(param: string, message: string) {
    super(message);
    this.param = param;
  }
}
