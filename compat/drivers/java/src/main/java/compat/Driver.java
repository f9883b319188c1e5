package compat;

import io.modelcontextprotocol.client.McpAsyncClient;
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientSseClientTransport;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.client.transport.ServerParameters;
import io.modelcontextprotocol.client.transport.StdioClientTransport;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.McpClientTransport;
import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import reactor.core.publisher.Mono;

/** A driver for the client of io.modelcontextprotocol.sdk: requests on stdin and answers on stdout, one JSON object a line. */
public final class Driver {
  private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, StandardCharsets.UTF_8);
  private static final McpJsonMapper JSON = McpJsonDefaults.getMapper();
  private static final TypeRef<Map<String, Object>> MAP = new TypeRef<>() {};
  private static final String TOKEN = "compat-";
  private static volatile McpAsyncClient client;

  private static final class Unsupported extends RuntimeException {
    Unsupported(String why) {
      super(why);
    }
  }

  public static void main(String[] args) throws IOException {
    // What a library prints must not get between the answers.
    System.setOut(System.err);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (line.isBlank()) continue;
      Map<String, Object> request = JSON.readValue(line, MAP);
      Thread thread = new Thread(() -> serve(request));
      thread.setDaemon(true);
      thread.start();
    }
    if (client != null) client.close();
    System.exit(0);
  }

  private static void write(Map<String, Object> message) {
    try {
      String line = JSON.writeValueAsString(message);
      synchronized (OUT) {
        OUT.print(line + "\n");
        OUT.flush();
      }
    } catch (IOException error) {
      error.printStackTrace();
    }
  }

  private static void event(String kind, Object of, Object value) {
    Map<String, Object> message = new LinkedHashMap<>();
    message.put("event", kind);
    message.put("of", of);
    message.put("value", value);
    write(message);
  }

  private static Map<String, Object> plain(Object value) {
    Map<String, Object> map = new LinkedHashMap<>(JSON.convertValue(value, MAP));
    map.remove("_meta");
    return map;
  }

  private static void question(String method, Object params) {
    event("question", null, Map.of("method", method, "params", plain(params)));
  }

  private static void serve(Map<String, Object> request) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("id", request.get("id"));
    try {
      Object value = run(request);
      answer.put("ok", value == null ? Map.of() : value);
    } catch (Unsupported why) {
      answer.put("unsupported", why.getMessage());
    } catch (Throwable error) {
      answer.put("error", failure(error));
    }
    write(answer);
  }

  private static Map<String, Object> failure(Throwable error) {
    Map<String, Object> failure = new LinkedHashMap<>();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof McpError known && known.getJsonRpcError() != null) {
        McpSchema.JSONRPCResponse.JSONRPCError said = known.getJsonRpcError();
        failure.put("code", said.code());
        failure.put("message", said.message());
        if (said.data() != null) failure.put("data", said.data());
        return failure;
      }
    }
    failure.put("code", null);
    StringBuilder message = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      message.append(message.isEmpty() ? "" : " / ").append(cause.getClass().getSimpleName()).append(": ").append(cause.getMessage());
    }
    failure.put("message", message.toString());
    return failure;
  }

  private static String text(Map<String, Object> map, String name) {
    Object value = map.get(name);
    return value == null ? null : value.toString();
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> object(Map<String, Object> map, String name) {
    Object value = map.get(name);
    return value == null ? Map.of() : (Map<String, Object>) value;
  }

  @SuppressWarnings("unchecked")
  private static McpClientTransport transport(Map<String, Object> target) {
    if (target.get("command") != null) {
      Map<String, String> environment = new HashMap<>(System.getenv());
      object(target, "env").forEach((name, value) -> environment.put(name, value.toString()));
      List<String> arguments = (List<String>) target.getOrDefault("args", List.of());
      ServerParameters parameters = ServerParameters.builder(text(target, "command")).args(arguments).env(environment).build();
      return new StdioClientTransport(parameters, JSON);
    }
    URI url = URI.create(text(target, "url"));
    String origin = url.getScheme() + "://" + url.getAuthority();
    String path = url.getRawQuery() == null ? url.getRawPath() : url.getRawPath() + "?" + url.getRawQuery();
    if ("sse".equals(target.get("kind"))) return HttpClientSseClientTransport.builder(origin).sseEndpoint(path).build();
    return HttpClientStreamableHttpTransport.builder(origin).endpoint(path).openConnectionOnStartup(true).build();
  }

  private static Object connect(Map<String, Object> request) {
    if ("modern".equals(request.get("era"))) throw new Unsupported("the SDK does not speak 2026-07-28");
    McpAsyncClient made = McpClient.async(transport(object(request, "target")))
        .clientInfo(new McpSchema.Implementation("compat-java", "1.0.0"))
        .requestTimeout(Duration.ofSeconds(60))
        .initializationTimeout(Duration.ofSeconds(30))
        .capabilities(McpSchema.ClientCapabilities.builder().roots(true).sampling().elicitation().build())
        .roots(new McpSchema.Root("file:///compat", "compat"))
        .sampling(asked -> {
          question("sampling/createMessage", asked);
          return Mono.just(new McpSchema.CreateMessageResult(McpSchema.Role.ASSISTANT, new McpSchema.TextContent("sampled"),
              "compat", McpSchema.CreateMessageResult.StopReason.END_TURN));
        })
        .elicitation(asked -> {
          question("elicitation/create", asked);
          return Mono.just(new McpSchema.ElicitResult(McpSchema.ElicitResult.Action.ACCEPT, fill(asked.requestedSchema())));
        })
        .toolsChangeConsumer(list -> Mono.fromRunnable(() -> event("changed", null, "tools")))
        .promptsChangeConsumer(list -> Mono.fromRunnable(() -> event("changed", null, "prompts")))
        .resourcesChangeConsumer(list -> Mono.fromRunnable(() -> event("changed", null, "resources")))
        // The SDK reads the resource and gives what it read.
        .resourcesUpdateConsumer(contents -> Mono.fromRunnable(() -> {
          for (McpSchema.ResourceContents content : contents) event("updated", null, Map.of("uri", content.uri()));
        }))
        .loggingConsumer(said -> Mono.fromRunnable(() -> event("log", null, plain(said))))
        .progressConsumer(said -> Mono.fromRunnable(() -> {
          String token = String.valueOf(said.progressToken());
          Map<String, Object> value = plain(said);
          value.remove("progressToken");
          event("progress", token.startsWith(TOKEN) ? Long.valueOf(token.substring(TOKEN.length())) : null, value);
        }))
        .build();
    McpSchema.InitializeResult result = made.initialize().block();
    client = made;
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("protocolVersion", result.protocolVersion());
    seen.put("serverInfo", result.serverInfo());
    seen.put("capabilities", result.capabilities());
    seen.put("instructions", result.instructions());
    return seen;
  }

  private static Object run(Map<String, Object> request) {
    String operation = text(request, "do");
    if (operation.equals("connect")) return connect(request);
    McpAsyncClient current = client;
    if (current == null) throw new IllegalStateException("not connected");
    if (request.get("cancelAfterMs") != null || Boolean.TRUE.equals(request.get("cancelOnProgress"))) {
      throw new Unsupported("the SDK has no cancel: it never sends notifications/cancelled");
    }
    switch (operation) {
      case "tools":
        return current.listTools().block().tools();
      case "resources":
        return current.listResources().block().resources();
      case "templates":
        return current.listResourceTemplates().block().resourceTemplates();
      case "prompts":
        return current.listPrompts().block().prompts();
      case "call": {
        Map<String, Object> meta = Boolean.TRUE.equals(request.get("progress")) ? Map.of("progressToken", TOKEN + request.get("id")) : null;
        return current.callTool(new McpSchema.CallToolRequest(text(request, "name"), object(request, "arguments"), meta)).block();
      }
      case "read":
        return current.readResource(new McpSchema.ReadResourceRequest(text(request, "uri"))).block();
      case "prompt":
        return current.getPrompt(new McpSchema.GetPromptRequest(text(request, "name"), object(request, "arguments"))).block();
      case "complete": {
        Map<String, Object> ref = object(request, "ref");
        Map<String, Object> argument = object(request, "argument");
        McpSchema.CompleteReference reference = "ref/prompt".equals(ref.get("type"))
            ? new McpSchema.PromptReference(text(ref, "name"))
            : new McpSchema.ResourceReference(text(ref, "uri"));
        return current.completeCompletion(new McpSchema.CompleteRequest(reference,
            new McpSchema.CompleteRequest.CompleteArgument(text(argument, "name"), text(argument, "value")))).block();
      }
      case "subscribe":
        return current.subscribeResource(new McpSchema.SubscribeRequest(text(request, "uri"))).block();
      case "unsubscribe":
        return current.unsubscribeResource(new McpSchema.UnsubscribeRequest(text(request, "uri"))).block();
      case "level":
        return current.setLoggingLevel(McpSchema.LoggingLevel.valueOf(text(request, "level").toUpperCase())).block();
      case "ping":
        current.ping().block();
        return null;
      case "close":
        client = null;
        return current.closeGracefully().block(Duration.ofSeconds(10));
      default:
        throw new Unsupported("no operation " + operation);
    }
  }

  /** The first valid content of a form. */
  private static Map<String, Object> fill(Map<String, Object> schema) {
    Map<String, Object> content = new LinkedHashMap<>();
    for (String name : new TreeMap<>(object(schema, "properties")).keySet()) {
      content.put(name, first(object(object(schema, "properties"), name)));
    }
    return content;
  }

  @SuppressWarnings("unchecked")
  private static Object first(Map<String, Object> property) {
    if (property.get("enum") instanceof List<?> values && !values.isEmpty()) return values.get(0);
    if (property.get("oneOf") instanceof List<?> options && !options.isEmpty()) return ((Map<String, Object>) options.get(0)).get("const");
    String type = String.valueOf(property.get("type"));
    if (type.equals("number") || type.equals("integer")) return property.getOrDefault("minimum", 1);
    if (type.equals("boolean")) return true;
    if (type.equals("array")) {
      Map<String, Object> items = new HashMap<>(object(property, "items"));
      if (items.containsKey("anyOf")) items.put("oneOf", items.get("anyOf"));
      return List.of(first(items));
    }
    switch (String.valueOf(property.get("format"))) {
      case "email":
        return "a@example.com";
      case "uri":
        return "https://example.com/";
      case "date":
        return "2026-01-01";
      case "date-time":
        return "2026-01-01T00:00:00Z";
      default:
        return "text";
    }
  }
}
