/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One glider as the airfield keeps it: where it is and how many hours aloft it counts.
 *
 * @param registration what tells it from every other glider
 * @param hangar where it is to be found
 * @param hours how many hours aloft it counts, never below zero
 * @param since the day on which it was entered
 */
public record Glider(String registration, String hangar, int hours, LocalDate since)
    implements Comparable<Glider> {

  /** Refuses a glider that nobody could find again. */
  public Glider {
    Objects.requireNonNull(since, "since");
    if (registration == null || registration.isBlank()) {
      throw new IllegalArgumentException("a glider needs a registration");
    }
    if (hours < 0) {
      throw new IllegalArgumentException("hours must not be negative: " + hours);
    }
  }

  /** Writes the glider on one line, the registration first, for the printed list of the airfield. */
  public String toLine() {
    return String.join(";", registration, hangar, Integer.toString(hours), since.toString());
  }

  @Override
  public int compareTo(Glider other) {
    return registration.compareTo(other.registration);
  }
}
