/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One station as the observatory keeps it: where it is and how many readings it counts.
 *
 * @param callSign what tells it from every other station
 * @param region where it is to be found
 * @param readings how many readings it counts, never below zero
 * @param since the day on which it was entered
 */
public record Station(String callSign, String region, int readings, LocalDate since)
    implements Comparable<Station> {

  /** Refuses a station that nobody could find again. */
  public Station {
    Objects.requireNonNull(since, "since");
    if (callSign == null || callSign.isBlank()) {
      throw new IllegalArgumentException("a station needs a callSign");
    }
    if (readings < 0) {
      throw new IllegalArgumentException("readings must not be negative: " + readings);
    }
  }

  /** Returns a copy of this station that stands in another region; everything else is kept. */
  public Station movedTo(String otherRegion) {
    return new Station(callSign, Objects.requireNonNull(otherRegion), readings, since);
  }

  /**
   * Splits off some of the readings into a station of its own.
   *
   * @param readingsTaken how many readings go
   * @param callSignOfNew the callSign of the new station
   * @return the new station in the same region; this one is unchanged, as records are
   * @throws IllegalArgumentException when the station has not as many readings
   */
  public Station splitStation(int readingsTaken, String callSignOfNew) {
    if (readingsTaken > readings) {
      throw new IllegalArgumentException("only " + readings + " readings to take from");
    }
    return new Station(callSignOfNew, region, readingsTaken, since);
  }

  /** Writes the station on one line, the callSign first, for the printed list of the observatory. */
  public String toLine() {
    return String.join(";", callSign, region, Integer.toString(readings), since.toString());
  }

  @Override
  public int compareTo(Station other) {
    return callSign.compareTo(other.callSign);
  }
}
