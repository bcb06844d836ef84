/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a bed is asked for; it has grown with every wish of the garden. */
public class BedForm {

  String name;
  String terrace;
  String applicant;
  String telephone;
  String remarks;
  int seedlings;
  LocalDate wantedFrom;

  BedForm(
      String name, String terrace, String applicant, String telephone, String remarks, int seedlings,
      LocalDate wantedFrom) {
    this.name = name;
    this.terrace = terrace;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.seedlings = seedlings;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return name != null && terrace != null && applicant != null && wantedFrom != null;
  }

  public Bed toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Bed(name, terrace, seedlings, first);
  }

  public String summary() {
    return "%s wants %d seedlings in %s".formatted(applicant, seedlings, terrace);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (name == null) {
      names.add("name");
    }
    if (terrace == null) {
      names.add("terrace");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
