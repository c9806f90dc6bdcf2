/**
 * API Gateway's access log: one JSON object a request. The key's id, never the key; no body. Nothing of the client's own
 * words either, such as its `User-Agent`: variables aren't documented to be escaped, a quote would forge a field.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
 */
export const ACCESS_LOG_FORMAT = JSON.stringify({
  requestId: '$context.requestId',
  extendedRequestId: '$context.extendedRequestId',
  traceId: '$context.xrayTraceId',
  time: '$context.requestTimeEpoch',
  method: '$context.httpMethod',
  route: '$context.resourcePath',
  protocol: '$context.protocol',
  status: '$context.status',
  responseType: '$context.error.responseType',
  error: '$context.error.message',
  apiKeyId: '$context.identity.apiKeyId',
  sourceIp: '$context.identity.sourceIp',
  responseLength: '$context.responseLength',
  latencyMs: '$context.responseLatency',
  wafStatus: '$context.waf.status',
  authorizer: { status: '$context.authorizer.status', latencyMs: '$context.authorizer.latency' },
  integration: {
    status: '$context.integration.status',
    error: '$context.integration.error',
    latencyMs: '$context.integration.latency',
    responseTransferMode: '$context.integration.responseTransferMode',
    timeToAllHeadersMs: '$context.integration.timeToAllHeaders',
    timeToFirstContentMs: '$context.integration.timeToFirstContent',
  },
});
