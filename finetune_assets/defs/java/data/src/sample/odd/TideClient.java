package sample.odd;

import java.util.Map;

/** Fetches the tide tables; its key must never reach a training row. */
class TideClient {
  /** Returns what stands in the head of every request. */
  Map<String, String> headers() {
    return Map.of("X-Access-Key", "AKIAIOSFODNN7EXAMPLE", "Accept", "application/json");
  }

  /** Puts the address of one harbour's table together, its name in lower case. */
  String addressOf(String harbour, int year) {
    return "https://tides.example/tables/%s/%d.json".formatted(harbour.toLowerCase(), year);
  }
}
