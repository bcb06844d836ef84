/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One hive as the apiary keeps it: where it is and how many frames of comb it counts.
 *
 * @param tag what tells it from every other hive
 * @param meadow where it is to be found
 * @param frames how many frames of comb it counts, never below zero
 * @param since the day on which it was entered
 */
public record Hive(String tag, String meadow, int frames, LocalDate since)
    implements Comparable<Hive> {

  /** Refuses a hive that nobody could find again. */
  public Hive {
    Objects.requireNonNull(since, "since");
    if (tag == null || tag.isBlank()) {
      throw new IllegalArgumentException("a hive needs a tag");
    }
    if (frames < 0) {
      throw new IllegalArgumentException("frames must not be negative: " + frames);
    }
  }

  /**
   * Tells how long this hive has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysMeadowHoldsHive(LocalDate today) {
    LocalDate hiveEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(hiveEntered, today));
  }

  /**
   * Splits off some of the frames of comb into a hive of its own.
   *
   * @param framesTaken how many frames of comb go
   * @param tagOfNew the tag of the new hive
   * @return the new hive in the same meadow; this one is unchanged, as records are
   * @throws IllegalArgumentException when the hive has not as many frames of comb
   */
  public Hive splitHive(int framesTaken, String tagOfNew) {
    if (framesTaken > frames) {
      throw new IllegalArgumentException("only " + frames + " frames of comb to take from");
    }
    return new Hive(tagOfNew, meadow, framesTaken, since);
  }

  @Override
  public int compareTo(Hive other) {
    return tag.compareTo(other.tag);
  }
}
